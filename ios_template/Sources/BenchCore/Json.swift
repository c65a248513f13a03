/// A JSON document. Numbers keep the text that they were written as, objects every key, so that a
/// request can be checked as strictly as its schema.
enum Json {
    case null
    case boolean(Bool)
    case digits(String)
    case text(String)
    case array([Json])
    case object([Member])

    /// A key of an object and its value.
    struct Member {
        let key: String
        let value: Json
    }

    static func number(_ value: Int64) -> Json { .digits(String(value)) }
    static func texts(_ texts: [String]) -> Json { .array(texts.map { .text($0) }) }
    static func numbers(_ numbers: [Int64]) -> Json { .array(numbers.map { .number($0) }) }
    static func options(_ options: [String: String]) -> Json {
        .fields(options.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value)) })
    }

    /// An object, as keys and values.
    static func fields(_ fields: [(String, Json)]) -> Json {
        .object(fields.map { Member(key: $0.0, value: $0.1) })
    }

    // Each under a name of its own, so that large literals are compiled at once; nil is null.
    static func count(_ value: Int64?) -> Json { value.map { .number($0) } ?? .null }
    static func measure(_ value: Double?) -> Json { value.map { .digits("\($0)") } ?? .null }
    static func flag(_ value: Bool?) -> Json { value.map { .boolean($0) } ?? .null }
    static func name(_ value: String?) -> Json { value.map { .text($0) } ?? .null }
    static func nested(_ value: Json?) -> Json { value ?? .null }

    /// The document on one line.
    var encoded: String {
        var line = ""
        write(to: &line)
        return line
    }

    private func write(to line: inout String) {
        switch self {
        case .null: line += "null"
        case .boolean(let value): line += value ? "true" : "false"
        case .digits(let digits): line += digits
        case .text(let text): Self.quote(text, to: &line)
        case .array(let items):
            line += "["
            for (index, item) in items.enumerated() {
                if index > 0 { line += "," }
                item.write(to: &line)
            }
            line += "]"
        case .object(let members):
            line += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { line += "," }
                Self.quote(member.key, to: &line)
                line += ":"
                member.value.write(to: &line)
            }
            line += "}"
        }
    }

    private static func quote(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }
}

/// The bytes are no JSON.
struct InvalidJson: Error, CustomStringConvertible {
    let description: String
}

/// Reads JSON (RFC 8259). `NaN` and `Infinity` without quotes, which some writers leave, are numbers
/// here, for whoever checks values to refuse.
struct JsonParser {
    private static let deepest = 200

    private let bytes: [UInt8]
    private var position = 0

    /// Returns the document that bytes hold.
    ///
    /// - Throws: ``InvalidJson``.
    static func parse(_ bytes: [UInt8]) throws -> Json {
        var parser = JsonParser(bytes: bytes)
        let document = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.position < bytes.count { throw parser.complaint("something follows") }
        return document
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func complaint(_ what: String) -> InvalidJson {
        InvalidJson(description: "it is no JSON: \(what) at byte \(position)")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws -> Json {
        if depth > Self.deepest { throw complaint("too deep") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .text(try text())
        default: return try word()
        }
    }

    private mutating func object(depth: Int) throws -> Json {
        position += 1
        var members: [Json.Member] = []
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw complaint("no key") }
            let key = try text()
            skipSpace()
            guard take(":") else { throw complaint("no colon") }
            members.append(Json.Member(key: key, value: try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw complaint("no comma") }
        }
    }

    private mutating func array(depth: Int) throws -> Json {
        position += 1
        var items: [Json] = []
        skipSpace()
        if take("]") { return .array(items) }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw complaint("no comma") }
        }
    }

    /// A literal or a number: what stands there up to the next separator.
    private mutating func word() throws -> Json {
        let start = position
        while let byte = next, isPartOfWord(byte) { position += 1 }
        let word = String(decoding: bytes[start..<position], as: UTF8.self)
        switch word {
        case "null": return .null
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "NaN", "Infinity", "-Infinity": return .digits(word)
        default:
            guard isNumber(word) else { throw complaint("no value") }
            return .digits(word)
        }
    }

    private func isPartOfWord(_ byte: UInt8) -> Bool {
        switch Unicode.Scalar(byte) {
        case "a"..."z", "A"..."Z", "0"..."9", "+", "-", ".": return true
        default: return false
        }
    }

    private mutating func text() throws -> String {
        position += 1
        var content: [UInt8] = []
        while let byte = next {
            position += 1
            if byte == UInt8(ascii: "\"") {
                let text = String(decoding: content, as: UTF8.self)
                guard text.utf8.elementsEqual(content) else { throw complaint("no UTF-8") }
                return text
            }
            if byte < 0x20 { throw complaint("a control character") }
            if byte != UInt8(ascii: "\\") {
                content.append(byte)
            } else {
                content += String(try escape()).utf8
            }
        }
        throw complaint("a text without an end")
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard let byte = next else { throw complaint("half an escape") }
        position += 1
        switch Unicode.Scalar(byte) {
        case "\"": return "\""
        case "\\": return "\\"
        case "/": return "/"
        case "b": return "\u{8}"
        case "f": return "\u{C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "u": return try unicode()
        default: throw complaint("an unknown escape")
        }
    }

    /// Half a surrogate pair, which no text of Swift holds, becomes U+FFFD.
    private mutating func unicode() throws -> Unicode.Scalar {
        let first = try fourDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        let rest = position
        if first < 0xDC00, take("\\"), take("u") {
            let second = try fourDigits()
            if (0xDC00...0xDFFF).contains(second) {
                let value = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
                return Unicode.Scalar(value) ?? "\u{FFFD}"
            }
        }
        position = rest
        return "\u{FFFD}"
    }

    private mutating func fourDigits() throws -> UInt32 {
        guard position + 4 <= bytes.count else { throw complaint("half an escape") }
        let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
        guard let value = UInt32(digits, radix: 16), !digits.hasPrefix("+") else {
            throw complaint("an unknown escape")
        }
        position += 4
        return value
    }
}

/// Whether a text is a number of JSON, whole where `isWhole`.
func isNumber(_ text: String, isWhole: Bool = false) -> Bool {
    var rest = Substring(text).utf8
    func digits() -> Int {
        let count = rest.prefix { (0x30...0x39).contains($0) }.count
        rest = rest.dropFirst(count)
        return count
    }
    if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
    let startsWithZero = rest.first == UInt8(ascii: "0")
    let whole = digits()
    if whole == 0 || (startsWithZero && whole > 1) { return false }
    if isWhole { return rest.isEmpty }
    if rest.first == UInt8(ascii: ".") {
        rest = rest.dropFirst()
        if digits() == 0 { return false }
    }
    if let mark = rest.first, mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") {
        rest = rest.dropFirst()
        if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            rest = rest.dropFirst()
        }
        if digits() == 0 { return false }
    }
    return rest.isEmpty
}
