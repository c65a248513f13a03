// The few views of SwiftUI that the starter app uses, with the labels and types of iOS 15.
@_exported import Combine
@_exported import CoreGraphics

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError("never shown") }
}

/// Every view of the system, and every view with a modifier.
public protocol Shown: View where Body == Never {}

extension Shown {
    public var body: Never { return fatalError("never shown") }
}

public struct Group: Shown {
    // The builder, which is on no actor, makes them too.
    nonisolated init(_: Void = ()) {}
}

@resultBuilder
public enum ViewBuilder {
    public static func buildExpression(_ view: some View) -> Group { Group() }
    public static func buildBlock(_ views: Group...) -> Group { Group() }
    public static func buildIf(_ view: Group?) -> Group { Group() }
    public static func buildEither(first view: Group) -> Group { Group() }
    public static func buildEither(second view: Group) -> Group { Group() }
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Sendable {
    public init(stringLiteral value: String) {}
}

public struct Text: Shown {
    public nonisolated init(_ key: LocalizedStringKey) {}
    @_disfavoredOverload
    public nonisolated init(_ text: some StringProtocol) {}
}

public struct Image: Shown {
    public init(_ image: CGImage, scale: CGFloat, label: Text) {}
    public func resizable() -> Image { self }
}

public struct Spacer: Shown {
    public init() {}
}

public struct ProgressView: Shown {
    public init() {}
    public init(value: Double?) {}
}

public struct Button<Label: View>: Shown {
    public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) {}
}

extension Button where Label == Text {
    public init(_ key: LocalizedStringKey, action: @escaping @MainActor () -> Void) {}
}

public enum HorizontalAlignment { case leading, center }

public struct HStack<Content: View>: Shown {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
}

public struct VStack<Content: View>: Shown {
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil,
        @ViewBuilder content: () -> Content
    ) {}
}

public struct Form<Content: View>: Shown {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct NavigationView<Content: View>: Shown {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct Section<Header: View, Content: View>: Shown {
    public init(header: Header, @ViewBuilder content: () -> Content) {}
}

extension Section where Header == Group {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct Picker<Value: Hashable, Content: View>: Shown {
    public init(
        _ key: LocalizedStringKey, selection: Binding<Value>, @ViewBuilder content: () -> Content
    ) {}
}

public struct ForEach<Content: View>: Shown {
    public init<Row: Identifiable>(
        _ rows: [Row], @ViewBuilder content: @escaping (Row) -> Content
    ) {}
    public init<Row, ID: Hashable>(
        _ rows: [Row], id: KeyPath<Row, ID>, @ViewBuilder content: @escaping (Row) -> Content
    ) {}
}
