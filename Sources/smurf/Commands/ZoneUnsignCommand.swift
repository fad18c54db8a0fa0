import ArgumentParser
import FarmProtocol
import Foundation
import SwiftProtobuf

/// `smurf zone unsign`: the way out of DNSSEC, on which no resolver ever finds the zone bogus.
struct ZoneUnsignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unsign",
        abstract: "Begins to leave DNSSEC, or says that the parent's DS records are gone.",
        discussion: """
            The zone stays signed and asks the parent to remove its DS records (CDS 0 0 0 00, RFC 8078). A parent \
            that does not read CDS has to be told. 'smurf serve --parent' asks the parent's servers by itself \
            whether they are gone; else see 'smurf zone check --parent ADDRESS', and say 'smurf zone unsign --removed'. \
            When no cache can hold one any more (--parent-ttl), keys and signatures go. 'smurf zone keys' says what is \
            waited for.

            'smurf zone sign' takes it back at any moment, and signs the zone anew afterwards.
            """)

    @Flag(help: "None of the parent's servers has a DS record of the zone any more.")
    var removed = false
    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection

    func run() async throws {
        let request = choice.request {
            $0.action = removed ? .undelegated : .unsign
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.keys(request).said })
    }
}

/// `smurf zone sign`: back from that way.
struct ZoneSignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign", abstract: "Takes 'smurf zone unsign' back, or signs the zone anew.",
        discussion: """
            While the zone is still signed, its keys stay and the parent is asked for their DS records again. When it \
            is no longer, new keys are made, as at the first start with --dnssec.
            """)

    @OptionGroup var choice: ZoneChoice
    @OptionGroup var control: ControlConnection

    func run() async throws {
        let request = choice.request {
            $0.action = .sign
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.keys(request).said })
    }
}
