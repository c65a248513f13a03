// The few parts of PhotosUI that the starter app uses.
@_exported import UIKit

public final class NSItemProvider: Sendable {
    @discardableResult
    public func loadDataRepresentation(
        forTypeIdentifier type: String,
        completionHandler: @escaping @Sendable (Data?, (any Error)?) -> Void
    ) -> Progress {
        completionHandler(nil, nil)
        return Progress(totalUnitCount: 1)
    }
}

public struct PHPickerResult {
    public let itemProvider: NSItemProvider
}

public struct PHPickerFilter: Sendable {
    public static let images = PHPickerFilter()
}

public struct PHPickerConfiguration {
    public var filter: PHPickerFilter?
    public var selectionLimit = 0
    public init() {}
}

@MainActor
public protocol PHPickerViewControllerDelegate: AnyObject {
    func picker(_ picker: PHPickerViewController, didFinishPicking results: [PHPickerResult])
}

public final class PHPickerViewController: UIViewController {
    public weak var delegate: (any PHPickerViewControllerDelegate)?
    public init(configuration: PHPickerConfiguration) {}
}
