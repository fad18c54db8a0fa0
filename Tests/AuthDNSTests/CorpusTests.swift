import Foundation
import FuzzChecks
import TestSupport
import Testing

/// The inputs that fuzzing starts from and those that once failed: each goes through the check of its target, which
/// traps when an invariant is broken. `Fuzz/run` looks for new ones.
@Suite struct CorpusTests {
    @Test(arguments: FuzzTarget.allCases)
    func everyInputDoesNoHarm(target: FuzzTarget) throws {
        let directory = Product.root + "/Fuzz/Corpus/" + target.rawValue
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        #expect(!names.isEmpty)
        for name in names {
            let input = try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name))
            target.check(Array(input))
        }
    }
}
