"""PreparedModel and AppSpec → GeneratedApp: projects with a typed SDK; knows no device."""
