import Foundation
import ModelSDK

// Answers a file of cases with what the SDK makes of them: COMMAND CASES ANSWER.
let arguments = CommandLine.arguments
guard arguments.count == 4 else {
    FileHandle.standardError.write(Data("COMMAND CASES ANSWER\n".utf8))
    exit(2)
}
let cases = try CaseFile(arguments[2])
let answer: Data
switch arguments[1] {
case "images": answer = try imageTensors(cases)
case "orientations": answer = try orientedPictures(cases)
case "labels": answer = try labels(cases)
case "state": answer = try stateSteps(cases)
case "classify": answer = try directions(cases)
case "misuse": answer = try misuse()
case "speed": answer = try speed()
default: throw Mismatch(text: "no command \(arguments[1])")
}
try answer.write(to: URL(fileURLWithPath: arguments[3]))
