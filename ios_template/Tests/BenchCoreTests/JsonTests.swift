import XCTest

@testable import BenchCore

final class JsonTests: XCTestCase {
    func testWhatIsReadIsWrittenAgain() throws {
        let texts = [
            "null", "true", "false", "0", "-1.5e+10", "[]", "{}", "[1,[2,{\"a\":null}],\"\"]",
            "{\"a\":1,\"b\":[true,false]}", "\"grüße 🎈 日本\"", "\"\\\\ \\\" \\n \\u0000 \\u001f\"",
        ]
        for text in texts { XCTAssertEqual(try parse(text).encoded, text) }
    }

    func testSpacesAndEscapesAreUnderstood() throws {
        XCTAssertEqual(try parse(" [ 1 , 2 ]\r\n\t").encoded, "[1,2]")
        let escaped = #""\/\b\f\r\t\u00e9\ud83c\udf88""#
        XCTAssertEqual(try parse(escaped).text, "/\u{8}\u{C}\r\té🎈")
        XCTAssertEqual(
            try parse(#""\ud800a\udc00\ud800\u0061""#).text, "\u{FFFD}a\u{FFFD}\u{FFFD}a")
    }

    func testWhatIsNoJsonIsRefused() {
        let deep = String(repeating: "[", count: 100_000)
        let texts = [
            "", " ", "{", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "\"",
            "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u+123\"", "\"\n\"", "01", "1.", ".5", "1e", "+1",
            "-", "nul", "truee", "1 2", "[1]]", "'a'", deep,
        ]
        for text in texts { XCTAssertThrowsError(try parse(text), String(text.prefix(20))) }
        XCTAssertThrowsError(try JsonParser.parse([0x22, 0xFF, 0x22]))
        XCTAssertThrowsError(try JsonParser.parse([0x22, 0xED, 0xA0, 0x80, 0x22]))
    }

    func testNumbersAreTold() {
        for text in ["0", "-0", "12", "1.5", "1e3", "1E-3", "0.0"] {
            XCTAssertTrue(isNumber(text), text)
        }
        for text in ["", "-", "00", "1.", ".1", "1e", "1e+", "NaN", "0x1", "1_0", "٣"] {
            XCTAssertFalse(isNumber(text), text)
        }
        XCTAssertTrue(isNumber("-12", isWhole: true))
        for text in ["1.0", "1e3", "01", ""] { XCTAssertFalse(isNumber(text, isWhole: true), text) }
    }

    private func parse(_ text: String) throws -> Json { try JsonParser.parse(Array(text.utf8)) }
}
