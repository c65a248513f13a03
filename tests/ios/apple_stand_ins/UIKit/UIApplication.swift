// The few parts of UIKit that the starter app uses.

@MainActor
open class UIViewController {
    public init() {}
}

@MainActor
public enum UIApplication {
    public nonisolated static let didReceiveMemoryWarningNotification = Notification.Name("memory")
}

@MainActor
public enum UIAccessibility {
    public struct Notification: Sendable {
        public static let announcement = Notification()
    }

    public static func post(notification: Notification, argument: Any?) {}
}
