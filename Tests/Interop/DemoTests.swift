import TestSupport
import Testing

extension InteropTests {
    /// The demo is the first thing anybody runs. Here with few recipients; `make demo` sends 20,000.
    @Suite(.serialized)
    struct DemoTests {
        /// It once waited for machines to fall idle that its policy had wait in a role.
        @Test(.timeLimit(.minutes(5)))
        func theDemoAccountsForEveryRecipientAndEnds() async throws {
            let demo = try await run(
                [Product.smurf, "demo", "--recipients", "1500", "--seed", "3"],
                directory: Product.root)
            #expect(demo.status == 0, "\(demo.errors)\n\(demo.output.suffix(3000))")
            let account = demo.output.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(account.contains(["recipients", "1500"]))
            #expect(account.contains(["lost", "0"]))
        }
    }
}
