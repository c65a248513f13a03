public struct Font: Sendable {
    public static let headline = Font()
    public static let body = Font()
    public static let subheadline = Font()
    public static let footnote = Font()
    public static let caption = Font()

    public func bold() -> Font { self }
    public func monospaced() -> Font { self }
    public func monospacedDigit() -> Font { self }
}

public struct Color: Sendable {
    public static let red = Color()
    public static let secondary = Color()
}

public struct Edges: Sendable {
    public static let vertical = Edges()
}

public enum TitleDisplayMode { case inline, large }

public struct StackNavigationViewStyle: Sendable {}

extension StackNavigationViewStyle {
    public static var stack: StackNavigationViewStyle { StackNavigationViewStyle() }
}

public struct EnabledTextSelectability: Sendable {
    public static var enabled: EnabledTextSelectability { EnabledTextSelectability() }
}

public enum AccessibilityChildren { case combine, ignore, contain }

extension View {
    public func font(_ font: Font?) -> some View { Group() }
    public func foregroundColor(_ color: Color?) -> some View { Group() }
    public func textSelection(_ selectability: EnabledTextSelectability) -> some View { Group() }
    public func padding(_ edges: Edges, _ length: CGFloat?) -> some View { Group() }
    public func frame(maxHeight: CGFloat?) -> some View { Group() }
    public func scaledToFit() -> some View { Group() }
    public func disabled(_ isDisabled: Bool) -> some View { Group() }
    public func ignoresSafeArea() -> some View { Group() }
    public func tag<Value: Hashable>(_ tag: Value) -> some View { Group() }

    public func navigationTitle(_ title: Text) -> some View { Group() }
    public func navigationBarTitleDisplayMode(_ mode: TitleDisplayMode) -> some View { Group() }
    public func navigationViewStyle(_ style: StackNavigationViewStyle) -> some View { Group() }

    public func accessibilityHidden(_ isHidden: Bool) -> some View { Group() }
    public func accessibilityHint(_ hint: Text) -> some View { Group() }
    public func accessibilityLabel(_ label: Text) -> some View { Group() }
    public func accessibilityValue(_ value: Text) -> some View { Group() }
    public func accessibilityElement(children: AccessibilityChildren) -> some View { Group() }

    public func sheet<Item: Identifiable, Content: View>(
        item: Binding<Item?>, onDismiss: (() -> Void)? = nil,
        @ViewBuilder content: @escaping (Item) -> Content
    ) -> some View { Group() }
    public func onAppear(perform action: (() -> Void)? = nil) -> some View { Group() }
    public func onChange<Value: Equatable>(
        of value: Value, perform action: @escaping (Value) -> Void
    ) -> some View { Group() }
    public func onReceive(
        _ publisher: NotificationCenter.Publisher, perform action: @escaping (Notification) -> Void
    ) -> some View { Group() }
}

extension NotificationCenter {
    public struct Publisher {}
    public func publisher(for name: Notification.Name) -> Publisher { Publisher() }
}
