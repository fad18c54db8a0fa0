import Farm
import TestSupport
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("255.255.255.255", "255.255.255.255"),
        ("::", "::"), ("::1", "::1"), ("2001:DB8::0:1", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("fd00:1::a", "fd00:1::a"),
        ("::ffff:192.0.2.1", "::ffff:c000:201"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:0:0:0:0:0:0:0", "1::"),
    ])
    func parsesAndPrints(_ text: String, _ canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
    }

    @Test(arguments: [
        "", ".", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", ":", ":::",
        "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:2:3:4:5:6:7", "::1.2.3", "+1::",
        "fe80::1%eth0",
    ])
    func refuses(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func printsWhatItParsesBack() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("IPAddress round trip"))
        for _ in 0..<2_000 {
            let high = random.next() & random.next() & random.next()
            let low = random.next() & random.next()
            let address = IPAddress.v6(high: high, low: low)
            #expect(IPAddress(address.description) == address)
            #expect(IPAddress(octets: address.octets) == address)
            let four = IPAddress.v4(UInt32(truncatingIfNeeded: low))
            #expect(IPAddress(four.description) == four)
            #expect(IPAddress(octets: four.octets) == four)
        }
    }
}
