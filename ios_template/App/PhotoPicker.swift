import PhotosUI
import SwiftUI

/// The system's picker; it hands out one photo, and needs no permission for that.
struct PhotoPicker: UIViewControllerRepresentable {
    /// Told of the photo, or nil when the user picked none.
    let onPicked: @MainActor (PickedPhoto?) -> Void

    func makeCoordinator() -> Coordinator {
        Coordinator(onPicked: onPicked)
    }

    func makeUIViewController(context: Context) -> PHPickerViewController {
        var configuration = PHPickerConfiguration()
        configuration.filter = .images
        configuration.selectionLimit = 1
        let picker = PHPickerViewController(configuration: configuration)
        picker.delegate = context.coordinator
        return picker
    }

    func updateUIViewController(_ picker: PHPickerViewController, context: Context) {}

    /// Takes the picker's answer.
    @MainActor
    final class Coordinator: NSObject, PHPickerViewControllerDelegate {
        private let onPicked: @MainActor (PickedPhoto?) -> Void

        init(onPicked: @escaping @MainActor (PickedPhoto?) -> Void) {
            self.onPicked = onPicked
        }

        func picker(_ picker: PHPickerViewController, didFinishPicking results: [PHPickerResult]) {
            onPicked(PickedPhoto(results))
        }
    }
}
