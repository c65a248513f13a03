"""GeneratedApp → BuiltApp: drives Gradle, and reads what came out."""
