import ArgumentParser
import Foundation
import RoleScheduler

/// `smurf policy diff`: what two policies say differently, whatever they are written like.
struct PolicyDiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Says what two policy files mean differently, with every default filled in.",
        discussion: """
              smurf policy diff farm.yml new.yml

            Order, comments and defaults that are spelled out are no difference. '+' is new, '-' is gone.
            """)
    @Argument(help: "The policy file that is followed.") var old: String
    @Argument(help: "The other policy file.") var new: String
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let changes = PolicyDifference.all(
            from: try FarmSources.policy(at: old), to: try FarmSources.policy(at: new))
        if json {
            let objects = changes.map { change in
                var object = ["key": change.key]
                object["old"] = change.old
                object["new"] = change.new
                return object
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(objects), as: UTF8.self))
        } else {
            print(changes.isEmpty ? "no difference" : changes.map(\.text).joined(separator: "\n"))
        }
    }
}
