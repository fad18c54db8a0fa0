import ArgumentParser
import AuthDNSCore
import ZoneFile

/// `smurf zone`: zone files.
struct ZoneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zone", abstract: "Checks zone files.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says the first fault of a zone file by line; exit status 2 if there is one.",
            discussion: """
                Warnings name what is served all the same and will surprise. With --policy the file is \
                also held against the names of the policy's roles and members, as serve does.

                  smurf zone check smurf.example.test.zone --policy farm.yml
                """)
        @Argument(help: "The zone file.") var zone: String
        @Option(help: "What relative names end with, when the file has no $ORIGIN.")
        var origin: String?
        @Option(help: "A policy file that is to be served with it.") var policy: String?

        func run() throws {
            if let policy {
                let checked = try CheckedZone(at: zone, for: FarmSources.policy(at: policy))
                return report(checked.zone)
            }
            do throws(ZoneFileError) {
                let loaded = try loadZone(at: zone, origin: origin.flatMap { DomainName($0) })
                for warning in loaded.warnings { Report.note(warning.description) }
                report(loaded.zone)
            } catch {
                Report.note(error.description)
                throw Report.badInput
            }
        }

        private func report(_ zone: StaticZone) {
            print("\(zone.apex): \(zone.records.count) records, no error")
        }
    }
}
