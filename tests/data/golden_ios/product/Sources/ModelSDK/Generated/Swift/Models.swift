// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

/// The models that this app carries.
public enum Models {
    /// All of them, by the names of their classes.
    public static let all: [ModelDescriptor] = [
        Product.descriptor
    ]
}
