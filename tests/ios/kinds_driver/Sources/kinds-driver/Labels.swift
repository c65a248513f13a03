import Foundation
import ModelSDK

struct LabelAnswer: Encodable {
    let index: Int
    let text: String
    let confidence: String

    init(_ label: Classification.Label) {
        index = label.index
        text = label.text
        confidence = label.confidence.description
    }
}

func labels(_ file: CaseFile) throws -> Data {
    let answers = try file.decode([LabelCase].self).map { given -> [LabelAnswer] in
        let scores = given.scores.map(\.value)
        let classification = Classification(
            labels: scores.indices.map { "class \($0)" }, topK: given.topK,
            applySoftmax: given.applySoftmax)
        let answer = try classification.best(of: scores).map(LabelAnswer.init)
        let tensor = try Tensor(scores, shape: [1, scores.count, 1])
        let again = try classification.best(of: tensor).map(LabelAnswer.init)
        try Mismatch.unless(
            answer.map(\.index) == again.map(\.index)
                && answer.map(\.confidence) == again.map(\.confidence), "a tensor differs")
        return answer
    }
    return try JSONEncoder().encode(answers)
}
