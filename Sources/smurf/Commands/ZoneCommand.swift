import ArgumentParser
import AuthDNSCore
import FarmProtocol
import ZoneFile

/// `smurf zone`: the zone, as a file and as it is served.
struct ZoneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zone",
        abstract: "Checks zone files and the parent; keys and challenges of the served zone.",
        subcommands: [
            Check.self, ZoneKeysCommand.self, ZoneDSCommand.self, ZoneDelegationCommand.self,
            ZoneRollCommand.self, ZoneUnsignCommand.self, ZoneSignCommand.self,
            ZoneChallengeCommand.self, ZoneReverseCommand.self,
        ])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Says the first fault of a zone file by line, or how the parent's view differs.",
            discussion: """
                Warnings name what is served all the same and will surprise. With --policy the file is \
                also held against the names of the policy's roles and members, as serve does. Exit \
                status 2 for a faulty file.

                  smurf zone check smurf.example.test.zone --policy farm.yml

                With --parent and no file, each of the parent zone's servers is asked, without a \
                resolver between, and held against what the served zone wants there (see 'smurf zone \
                delegation'). Exit status 1 when one differs.

                  smurf zone check --parent 192.0.2.1 --parent 198.51.100.7
                """)
        @Argument(help: "The zone file.") var zone: String?
        @Option(help: "What relative names end with, when the file has no $ORIGIN.")
        var origin: String?
        @Option(help: "A policy file that is to be served with it.") var policy: String?
        @Option(help: "A name server of the parent zone, ADDRESS[:PORT]; repeat for more.")
        var parent: [ParentServer] = []
        @OptionGroup(title: "RECORDS FOR MAIL") var mail: MailRecordOptions
        @OptionGroup var control: ControlConnection

        func validate() throws {
            guard (zone == nil) != parent.isEmpty else {
                throw ValidationError("give a zone file, or --parent to ask the parent's servers")
            }
        }

        func run() async throws {
            if let zone { try check(zone) } else { try await checkParent() }
        }

        private func check(_ zone: String) throws {
            if let policy {
                let checked = try CheckedZone(
                    at: zone, for: FarmSources.policy(at: policy), mail: mail)
                return report(checked.zone)
            }
            let parsed: StaticZone
            do throws(ZoneFileError) {
                let loaded = try loadZone(at: zone, origin: origin.flatMap { DomainName($0) })
                for warning in loaded.warnings { Report.note(warning.description) }
                parsed = loaded.zone
            } catch {
                Report.note(error.description)
                throw Report.badInput
            }
            report(try mail.adding(to: parsed, at: zone))
        }

        private func report(_ zone: StaticZone) {
            print("\(zone.apex): \(zone.records.count) records, no error")
        }

        private func checkParent() async throws {
            let view = try await control.ask { try await $0.keys(.init()) }
            guard let wanted = Delegation(view) else {
                throw Report.failure("the control node's answer is not understood")
            }
            // Every one is asked, whatever the others say.
            let verdicts = parent.map { $0.isRight(wanted) }
            guard verdicts.allSatisfy(\.self) else { throw ExitCode(1) }
        }
    }
}
