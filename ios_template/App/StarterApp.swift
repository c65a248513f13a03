import SwiftUI

/// Tries the packaged models: on the packaged sample, or on a picture.
@main
struct StarterApp: App {
    var body: some Scene {
        WindowGroup {
            StarterView()
        }
    }
}
