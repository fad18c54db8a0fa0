import ArgumentParser
import FarmProtocol
import Foundation
import SwiftProtobuf

/// `smurf zone keys`: the keys of the served zone.
struct ZoneKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Lists the DNSSEC keys of the served zone and their states.",
        subcommands: [ZoneKeysListCommand.self, ZoneKeysEncryptCommand.self],
        defaultSubcommand: ZoneKeysListCommand.self)
}

/// `smurf zone keys list`, or without `list`: where each key is in its life.
struct ZoneKeysListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the keys and their states.",
        discussion: """
            A key is published, waits until caches have it, signs, retires until caches have forgotten \
            its signatures, and is removed. Serve with --dnssec to have keys. ON DISK says whether the file of its \
            secret is encrypted.
            """)

    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let view = try await control.ask { try await $0.keys(choice.request()) }
        if json { return print(try view.jsonString()) }
        guard !view.keys.isEmpty else {
            return print("\(view.zone) is not signed: start serve with --dnssec")
        }
        var table = Table(["KEY", "USE", "ALGORITHM", "ON DISK", "STATE", "SINCE"])
        for key in view.keys {
            let moments = [
                key.created, key.published, key.announced, key.delegated, key.activated,
                key.retired, key.withdrawn, key.undelegated, key.removed,
            ]
            let since = Date(timeIntervalSince1970: Double(moments.max() ?? 0))
            let hasZoneKeys = view.keys.contains { !$0.entryPoint }
            let use = key.entryPoint ? (hasZoneKeys ? "KSK" : "CSK") : "ZSK"
            table.add([
                "\(key.tag)", use, key.algorithm, key.encrypted ? "encrypted" : "plain", key.state,
                since.formatted(.iso8601),
            ])
        }
        print(table.lines.joined(separator: "\n"))
    }
}

/// `smurf zone keys encrypt`: puts what is on disk under the passphrase.
struct ZoneKeysEncryptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encrypt",
        abstract: "Encrypts the keys on disk that are in the clear.",
        discussion: """
            Needs a control node that was started with --keys-passphrase. What was written in the clear once may \
            still be found on the disk and in copies of it: 'smurf zone roll' replaces such a key. See it by

              openssl pkey -in Ksmurf.example.test.+013+12345.private -passin file:keys.pass -noout -text_pub
            """)

    @OptionGroup var control: ControlConnection

    func run() async throws {
        let request = Smurffarm_V1_KeysRequest.with {
            $0.action = .encrypt
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.keys(request).said })
    }
}

/// `smurf zone ds`: what the parent must publish for the zone to be validated.
struct ZoneDSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ds", abstract: "Prints the DS records that the parent zone should have.")

    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection

    func run() async throws {
        let view = try await control.ask { try await $0.keys(choice.request()) }
        guard !view.ds.isEmpty else {
            let isLeaving = view.keys.contains { $0.withdrawn != 0 }
            throw Report.failure(
                isLeaving
                    ? "\(view.zone) wants no DS records: it leaves DNSSEC, or has (see 'smurf zone keys')"
                    : "\(view.zone) is not signed: start serve with --dnssec")
        }
        view.printDelegationSigners()
    }
}

extension Smurffarm_V1_KeysView {
    /// DS records as lines of the parent's zone file.
    fileprivate func printDelegationSigners() {
        for record in ds { print("\(zone). IN DS \(record)") }
    }
}

/// `smurf zone delegation`: all that the parent zone needs, as lines for its zone file.
struct ZoneDelegationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delegation",
        abstract: "Prints what the parent zone needs: NS, glue and DS records.",
        discussion: "Copy the lines into the parent's zone file, or into its registrar's form.")

    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection

    func run() async throws {
        let view = try await control.ask { try await $0.keys(choice.request()) }
        for server in view.nameServers { print("\(view.zone). IN NS \(server).") }
        for glue in view.glue { print(glue) }
        view.printDelegationSigners()
    }
}

/// `smurf zone roll`: replaces a key, step by step, without a moment at which validation fails.
struct ZoneRollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roll", abstract: "Begins to replace a key, or says that the parent is done.",
        discussion: """
            'smurf zone roll' replaces the key that the parent knows: the new one is published at \
            once, CDS and CDNSKEY ask the parent for it when caches have it, and it takes over when \
            the parent's DS is known everywhere. A parent that does not read CDS gets what 'smurf zone \
            ds' prints. 'smurf serve --parent' asks the parent's servers itself; else say 'smurf zone \
            roll --delegated' once the parent has the new DS. '--zsk' replaces the key that signs \
            records; that needs nobody else.
            """)

    @Flag(help: "Replace the zone-signing key instead.") var zsk = false
    @Flag(help: "The parent has the DS record of the new key now.") var delegated = false
    @Option(help: "Tag of the key that --delegated is about, when it is not the newest.")
    var key: UInt16?
    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection

    func validate() throws {
        guard !(zsk && delegated) else {
            throw ValidationError("--zsk and --delegated: the parent knows nothing of a ZSK")
        }
    }

    func run() async throws {
        let request = choice.request {
            $0.action = delegated ? .delegated : .replace
            $0.entryPoint = !zsk
            $0.tag = UInt32(key ?? 0)
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.keys(request).said })
    }
}

/// `smurf zone challenge`: a TXT record for a certificate authority to see.
struct ZoneChallengeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "challenge", abstract: "Answers an ACME challenge for a while (dns-01).",
        discussion: """
            For a certificate of web.smurf.example.test:

              smurf zone challenge add web VALUE --for 10m
              smurf zone challenge remove web

            '@' is the zone itself. Each one ends by itself; several values may stand at one name.
            """, subcommands: [Add.self, Remove.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a TXT record at _acme-challenge.NAME.")
        @Argument(help: "The name under the zone, or '@'.") var name: String
        @Argument(help: "What the authority wants to see.") var value: String
        @Option(name: .customLong("for"), help: "For how long, up to 30d.")
        var duration = HumanDuration(seconds: 600)
        @OptionGroup var control: ControlConnection

        func run() async throws {
            let request = Smurffarm_V1_ChallengeRequest.with {
                $0.name = name
                $0.value = value
                $0.forSeconds = Int64(duration.seconds.rounded(.up))
            }
            print(try await control.ask { try await $0.challenge(request).said })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes them away before their time.")
        @Argument(help: "The name under the zone, or '@'.") var name: String
        @Argument(help: "One value; by default all at the name.") var value: String?
        @OptionGroup var control: ControlConnection

        func run() async throws {
            let request = Smurffarm_V1_ChallengeRequest.with {
                $0.name = name
                $0.value = value ?? ""
                $0.remove = true
            }
            print(try await control.ask { try await $0.challenge(request).said })
        }
    }
}
