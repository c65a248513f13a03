/// SHA-256. Source: FIPS 180-4, sections 5 and 6.2.
struct Sha256 {
    private var state = initialState
    private var rest: [UInt8] = []
    private var byteCount: UInt64 = 0

    /// Takes further bytes.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount += UInt64(bytes.count)
        var start = 0
        if !rest.isEmpty {
            start = min(64 - rest.count, bytes.count)
            rest += bytes[..<start]
            if rest.count < 64 { return }
            rest.withUnsafeBytes { digest($0, from: 0, to: 64) }
            rest.removeAll(keepingCapacity: true)
        }
        let end = start + (bytes.count - start) / 64 * 64
        digest(bytes, from: start, to: end)
        rest += bytes[end...]
    }

    /// Returns the digest of all bytes, in hexadecimal.
    mutating func finish() -> String {
        let bitCount = byteCount &* 8
        var padding: [UInt8] = [0x80]
        while (rest.count + padding.count) % 64 != 56 { padding.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            padding.append(UInt8(truncatingIfNeeded: bitCount >> shift))
        }
        padding.withUnsafeBytes { update($0) }
        return state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func digest(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
            roundConstants.withUnsafeBufferPointer { constants in
                state.withUnsafeMutableBufferPointer { state in
                    for block in stride(from: start, to: end, by: 64) {
                        fill(schedule, bytes, block)
                        compress(schedule, constants, state)
                    }
                }
            }
        }
    }
}

/// Returns the SHA-256 of bytes, in hexadecimal.
func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    var digest = Sha256()
    digest.update(bytes)
    return digest.finish()
}

/// Returns the SHA-256 of a file, in hexadecimal.
///
/// - Throws: ``FileError`` where it cannot be read.
func sha256(file path: String) throws -> String {
    var digest = Sha256()
    try readFile(path) { digest.update($0) }
    return digest.finish()
}

@inline(__always)
private func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
    word &>> count | word &<< (32 &- count)
}

@inline(__always)
private func fill(
    _ schedule: UnsafeMutableBufferPointer<UInt32>, _ bytes: UnsafeRawBufferPointer, _ start: Int
) {
    for index in 0..<16 {
        let word = bytes.loadUnaligned(fromByteOffset: start &+ 4 &* index, as: UInt32.self)
        schedule[index] = UInt32(bigEndian: word)
    }
    for index in 16..<64 {
        let early = schedule[index &- 15]
        let late = schedule[index &- 2]
        let first = rotate(early, 7) ^ rotate(early, 18) ^ (early &>> 3)
        let second = rotate(late, 17) ^ rotate(late, 19) ^ (late &>> 10)
        schedule[index] = schedule[index &- 16] &+ first &+ schedule[index &- 7] &+ second
    }
}

@inline(__always)
private func compress(
    _ schedule: UnsafeMutableBufferPointer<UInt32>, _ constants: UnsafeBufferPointer<UInt32>,
    _ state: UnsafeMutableBufferPointer<UInt32>
) {
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for round in 0..<64 {
        let choice = (e & f) ^ (~e & g)
        let majority = (a & b) ^ (a & c) ^ (b & c)
        let sumE = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
        let sumA = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
        let added = h &+ sumE &+ choice &+ constants[round] &+ schedule[round]
        (h, g, f, e) = (g, f, e, d &+ added)
        (d, c, b, a) = (c, b, a, added &+ sumA &+ majority)
    }
    for (index, word) in [a, b, c, d, e, f, g, h].enumerated() { state[index] &+= word }
}

/// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
private let initialState: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C,
    0x1F83_D9AB, 0x5BE0_CD19,
]

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
private let roundConstants: [UInt32] = [
    0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1,
    0x923F_82A4, 0xAB1C_5ED5, 0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3,
    0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174, 0xE49B_69C1, 0xEFBE_4786,
    0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
    0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147,
    0x06CA_6351, 0x1429_2967, 0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13,
    0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85, 0xA2BF_E8A1, 0xA81A_664B,
    0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
    0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A,
    0x5B9C_CA4F, 0x682E_6FF3, 0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208,
    0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
]
