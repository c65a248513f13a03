import SwiftUI

/// What the model takes, and what it will get.
struct InputsSection: View {
    @ObservedObject var screen: Screen
    @Binding var pickingFor: InputRow?

    var body: some View {
        Section(header: Text("Inputs")) {
            ForEach(screen.contents.inputs) { input in
                VStack(alignment: .leading, spacing: 4) {
                    TensorHeading(name: input.name, detail: input.detail)
                    Text(input.source)
                        .font(.subheadline)
                        .foregroundColor(.secondary)
                }
                .accessibilityElement(children: .combine)
                if let thumbnail = input.thumbnail {
                    Image(thumbnail, scale: 1, label: Text("Picture for \(input.name)"))
                        .resizable()
                        .scaledToFit()
                        .frame(maxHeight: 200)
                }
                if input.takesPicture {
                    Button("Choose a picture") { pickingFor = input }
                        .accessibilityLabel(Text("Choose a picture for \(input.name)"))
                }
                if input.picture != nil {
                    Button("Use the sample again") { screen.dropPicture(for: input.name) }
                        .accessibilityLabel(Text("Use the sample again for \(input.name)"))
                }
            }
        }
    }
}

/// Name of a tensor, with its type and shape.
struct TensorHeading: View {
    let name: String
    let detail: String

    var body: some View {
        VStack(alignment: .leading, spacing: 2) {
            Text(name)
                .font(.body.bold())
            Text(detail)
                .font(.caption.monospaced())
                .foregroundColor(.secondary)
        }
    }
}
