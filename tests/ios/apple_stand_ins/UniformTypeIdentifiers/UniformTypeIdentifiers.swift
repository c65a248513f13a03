// The few parts of UniformTypeIdentifiers that the starter app uses.

public struct UTType: Sendable {
    public static let image = UTType()
    public let identifier = "public.image"
}
