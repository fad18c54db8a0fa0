import ArgumentParser
import AuthDNSCore
import ZoneFile

/// `smurf zone`: zone files.
struct ZoneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zone", abstract: "Checks zone files.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says the first fault of a zone file by line; exit status 2 if there is one.")
        @Argument(help: "The zone file.") var zone: String
        @Option(help: "What relative names end with, when the file has no $ORIGIN.")
        var origin: String?

        func run() throws {
            do throws(ZoneFileError) {
                let zone = try readZone(at: zone, origin: origin.flatMap { DomainName($0) })
                print("\(zone.apex): \(zone.records.count) records, no error")
            } catch {
                Report.note(error.description)
                throw Report.badInput
            }
        }
    }
}
