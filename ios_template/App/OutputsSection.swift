import SwiftUI

/// What the model gives.
struct OutputsSection: View {
    let outputs: [OutputRow]

    var body: some View {
        Section(header: Text("Outputs")) {
            ForEach(outputs) { output in
                VStack(alignment: .leading, spacing: 8) {
                    TensorHeading(name: output.name, detail: output.detail)
                    ForEach(output.labels) { label in
                        LabelView(label: label)
                    }
                    ForEach(output.values, id: \.self) { line in
                        Text(line)
                            .font(.footnote.monospaced())
                            .textSelection(.enabled)
                    }
                }
                .padding(.vertical, 4)
            }
        }
    }
}

/// A class with its confidence, as a bar where that is a share.
private struct LabelView: View {
    let label: LabelRow

    var body: some View {
        VStack(alignment: .leading, spacing: 2) {
            HStack {
                Text(label.text)
                Spacer()
                Text(label.confidence)
                    .font(.body.monospacedDigit())
            }
            if let share = label.share {
                ProgressView(value: share)
            }
        }
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(Text(label.text))
        .accessibilityValue(Text(label.confidence))
    }
}

/// What was measured.
struct FiguresSection: View {
    let figures: [String]

    var body: some View {
        if !figures.isEmpty {
            Section(header: Text("Figures")) {
                ForEach(figures, id: \.self) { figure in
                    Text(figure)
                        .font(.subheadline)
                        .textSelection(.enabled)
                }
            }
        }
    }
}
