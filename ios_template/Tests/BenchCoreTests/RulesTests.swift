import XCTest

@testable import BenchCore

final class RulesTests: XCTestCase {
    func testWarmUpDecidesAsTheVectors() throws {
        for vector in try Vectors.cases("warm_up.json") {
            var rule = WarmUp(
                try warmUpRule(vector["rule"]),
                firstRunNs: try XCTUnwrap(vector["first_run_ns"].integer))
            let (runs, decision) = decide(vector.durationsNs) { rule.add($0) }
            XCTAssertEqual(runs, vector["runs"].integer, vector["name"].text)
            let converged = decision.map { $0 == .converged }
            XCTAssertEqual(converged, vector["converged"].boolean, vector["name"].text)
        }
    }

    func testMeasurementEndsAsTheVectors() throws {
        for vector in try Vectors.cases("stop.json") {
            let rule = try stopRule(vector["rule"])
            var (runs, elapsedNs): (Int64, Int64) = (0, 0)
            var reason: StopReason?
            for duration in vector.durationsNs where reason == nil {
                runs += 1
                elapsedNs += duration
                reason = stopReason(runs: runs, elapsedNs: elapsedNs, rule)
            }
            let expected = vector["runs"].integer
            XCTAssertEqual(reason == nil ? nil : runs, expected, vector["name"].text)
            if expected != nil {
                XCTAssertEqual(reason?.rawValue, vector["stop_reason"].text, vector["name"].text)
            }
        }
    }

    func testMediansOfEvenNumbersAreRoundedDown() {
        XCTAssertEqual(medianNs([3]), 3)
        XCTAssertEqual(medianNs([4, 1]), 2)
        XCTAssertEqual(medianNs([9, 1, 5]), 5)
        XCTAssertEqual(medianNs([10, 1, 7, 4]), 5)
    }

    func testSamplesStayInOrderWhenTheyOutgrowTheirRoom() {
        var samples = Samples(capacity: 1)
        for duration in 0..<1000 { samples.add(Int64(duration)) }
        XCTAssertEqual(samples.durationsNs, Array(0..<1000))
        XCTAssertGreaterThan(samples.durationsNs.capacity, 1000)
    }

    func testALoopStopsAtItsDeadlineAndKeepsWhatItHad() {
        let rule = StopRule(minRuns: 1 << 60, minNs: 1 << 60, maxNs: 1 << 60, floorRuns: 1)
        var samples = Samples()
        let call = CountingCall()
        XCTAssertThrowsError(
            try measureRuns(call, rule, &samples, deadlineNs: SystemClock.nowNs())
        ) { XCTAssertTrue($0 is DeadlinePassed) }
        XCTAssertEqual(samples.durationsNs.count, 1)
        XCTAssertEqual([call.runs, call.releases], [1, 1])
    }

    func testRoomIsMadeForTheRunsThatARuleLikelyTakes() {
        let rule = StopRule(minRuns: 30, minNs: 1_000_000_000, maxNs: 0, floorRuns: 1)
        XCTAssertEqual(capacity(for: rule, expectedNs: 1_000_000), 1251)
        XCTAssertEqual(capacity(for: rule, expectedNs: 1 << 60), 64)
        XCTAssertEqual(capacity(for: rule, expectedNs: 0), 1 << 22)
    }

    private func decide(
        _ durations: [Int64], _ add: (Int64) -> WarmUpDecision
    ) -> (runs: Int64?, decision: WarmUpDecision?) {
        for (index, duration) in durations.enumerated() {
            let decision = add(duration)
            if decision != .goOn { return (Int64(index + 1), decision) }
        }
        return (nil, nil)
    }

    private func warmUpRule(_ rule: Json) throws -> WarmUpRule {
        WarmUpRule(
            windowMinRuns: try XCTUnwrap(rule["window_min_runs"].integer),
            windowNs: try XCTUnwrap(rule["window_ns"].integer),
            agreement: try XCTUnwrap(rule["agreement"].double),
            minNs: try XCTUnwrap(rule["min_ns"].integer),
            maxNs: try XCTUnwrap(rule["max_ns"].integer),
            maxRuns: try XCTUnwrap(rule["max_runs"].integer),
            hardLimitNs: try XCTUnwrap(rule["hard_limit_ns"].integer))
    }

    private func stopRule(_ rule: Json) throws -> StopRule {
        StopRule(
            minRuns: try XCTUnwrap(rule["min_runs"].integer),
            minNs: try XCTUnwrap(rule["min_ns"].integer),
            maxNs: try XCTUnwrap(rule["max_ns"].integer),
            floorRuns: try XCTUnwrap(rule["floor_runs"].integer))
    }
}

private final class CountingCall: TimedCall {
    private(set) var runs = 0
    private(set) var releases = 0

    func run() { runs += 1 }

    func release() { releases += 1 }
}
