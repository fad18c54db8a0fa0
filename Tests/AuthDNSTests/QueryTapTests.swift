import Farm
import Foundation
import TestSupport
import Testing

@testable import AuthDNS

/// The way of sampled queries from the thread that answers to the one that tells of them.
@Suite struct QueryTapTests {
    private func keep(_ number: Int, in tap: QueryTap) {
        let query = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 20 + number % 40)
        tap.keep(query.span, query.span, from: .v4(UInt32(number)), port: UInt16(number % 65_536))
    }

    @Test func whatIsKeptComesOutInOrder() {
        let tap = QueryTap(.udp, nil, 53, interval: 1)
        var (put, got) = (0, 0)
        for round in 0..<100 {
            for _ in 0..<(round % 37) {
                keep(put, in: tap)
                put += 1
            }
            while let query = tap.next() {
                #expect(query.client == .v4(UInt32(got)) && query.port == UInt16(got))
                #expect(query.query.count == 20 + got % 40 && query.query == query.reply)
                #expect(query.query.allSatisfy { $0 == UInt8(truncatingIfNeeded: got) })
                got += 1
            }
            #expect(got == put)
        }
        #expect(tap.counted.dropped == 0)
    }

    @Test func aFullTapDropsAndCounts() {
        let tap = QueryTap(.udp, nil, 53, interval: 1)
        for number in 0..<600 { keep(number, in: tap) }
        var kept = 0
        while let query = tap.next() {
            #expect(query.client == .v4(UInt32(kept)), "the oldest stay")
            kept += 1
        }
        #expect(kept == 512 && tap.counted.dropped == 88)
        keep(7, in: tap)
        #expect(tap.next()?.client == .v4(7))
    }

    @Test func whatIsTooLongIsToldWithoutItsOctets() {
        let tap = QueryTap(.tcp, nil, 53, interval: 1)
        let (long, fits) = ([UInt8](repeating: 1, count: 1233), [UInt8](repeating: 2, count: 512))
        tap.keep(fits.span, long.span, from: nil, port: 0)
        tap.keep(long.span, fits.span, from: nil, port: 0)
        let (first, second) = (tap.next(), tap.next())
        #expect(first?.query == fits && first?.reply == [])
        #expect(second?.query == [] && second?.reply == fits)
    }

    /// One thread fills, another empties: whatever comes out is whole.
    @Test func twoThreadsShareIt() async {
        let tap = QueryTap(.udp, nil, 53, interval: 1)
        let total = 200_000
        let writer = Task.detached { [self] in for number in 0..<total { keep(number, in: tap) } }
        var (seen, last) = (0, -1)
        let end = ContinuousClock.now + .seconds(60)
        while seen + Int(tap.counted.dropped) < total, ContinuousClock.now < end {
            guard let query = tap.next() else {
                await Task.yield()
                continue
            }
            guard case .v4(let number)? = query.client else { continue }
            #expect(Int(number) > last)
            last = Int(number)
            seen += 1
            #expect(query.query.count == 20 + last % 40)
            #expect(query.query.allSatisfy { $0 == UInt8(truncatingIfNeeded: last) })
        }
        await writer.value
        #expect(seen > 0 && seen + Int(tap.counted.dropped) == total)
    }
}
