import Foundation
import TestSupport
import Testing

extension InteropTests {
    /// The guide to delegation, followed word for word in a network of its own, and what zonemaster, dnsviz and a
    /// validating resolver say about the farm that comes of it.
    @Suite(.serialized, .enabled(if: geteuid() == 0, "a network of its own needs root"))
    struct JudgesTests {
        @Test(.timeLimit(.minutes(5))) func theGuideToDelegationSatisfiesEveryJudge() async throws {
            let directory = try TemporaryDirectory()
            let script = Product.root + "/Tests/Interop/judges.sh"
            // Programs started here inherit blocked signals, and the guide sends some.
            let unblocked =
                "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, []); "
                + "os.execvp(sys.argv[1], sys.argv[1:])"
            let result = try await run([
                "python3", "-c", unblocked, "unshare", "-nmpf", "--kill-child", "--mount-proc",
                "bash", script, Product.smurf,
                directory.path,
            ])
            let guide =
                (try? String(contentsOfFile: directory.file("guide.log"), encoding: .utf8)) ?? ""
            #expect(result.status == 0, "\(result.output)\(result.errors)\(guide.suffix(4000))")
            let found = sections(of: result.output)
            let servers = try #require(found["servers"])
            #expect(servers.count == 4)
            // Serial and members are the same everywhere, behind the address.
            let said = Set(
                servers.map { $0.split(separator: " ").dropFirst().joined(separator: " ") })
            #expect(said.count == 1, "\(servers)")
            #expect(said.first?.split(separator: " ").count == 9, "\(servers)")
            // Each of the two members is the first of some answers.
            let firsts = try #require(found["firsts"])
            #expect(firsts.count == 4 && firsts.allSatisfy { $0.hasSuffix(" 2") }, "\(firsts)")
            #expect(
                found["resolver"] == [
                    "web NOERROR qr rd ra ad", "smtp-out NOERROR qr rd ra ad",
                    "nothing NXDOMAIN qr rd ra ad",
                ])
            let zonemaster = try #require(found["zonemaster"])
            #expect(zonemaster.last == "Looks OK.", "\(zonemaster.joined(separator: "\n"))")
            let dnsviz = try #require(found["dnsviz"])
            #expect(dnsviz.count == 1, "\(dnsviz.joined(separator: "\n"))")
            let valid = dnsviz.last?.split(separator: " ").last.flatMap { Int($0) } ?? 0
            #expect(valid >= 3, "dnsviz found \(valid) good signatures")
        }

        private func sections(of output: String) -> [String: [String]] {
            var found: [String: [String]] = [:]
            var name = ""
            for line in output.split(separator: "\n") {
                if line.hasPrefix("== ") {
                    name = String(line.dropFirst(3))
                    found[name] = []
                } else {
                    found[name, default: []].append(String(line))
                }
            }
            return found
        }
    }
}
