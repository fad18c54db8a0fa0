import Farm
import Testing

@Suite struct NetworkTests {
    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        ("10.0.0.0/9", "::ffff:10.127.1.1", true), ("10.0.0.0/9", "::ffff:10.128.1.1", false),
    ])
    func contains(_ network: String, _ address: String, _ isIn: Bool) throws {
        let network = try #require(Network(network))
        #expect(network.contains(try #require(IPAddress(address))) == isIn)
    }

    @Test(arguments: [
        "", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.1/24", "192.0.2.0/24/1",
        "2001:db8::/129", "2001:db8::1/64", "example.org/24", "192.0.2.0/+8", "192.0.2.0/ 8",
    ])
    func refuses(_ text: String) { #expect(Network(text) == nil) }
}
