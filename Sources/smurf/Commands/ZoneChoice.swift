import ArgumentParser
import FarmProtocol
import SwiftProtobuf

/// Which of the zones that a control node serves a command is about.
struct ZoneChoice: ParsableArguments {
    @Option(
        name: .customLong("of"),
        help: "A zone beside the farm's own, such as 2.0.192.in-addr.arpa of --reverse.")
    var zone = ""

    /// Asks for the zone's keys, and whatever `change` makes of that.
    func request(
        _ change: (inout Smurffarm_V1_KeysRequest) -> Void = { _ in }
    ) -> Smurffarm_V1_KeysRequest {
        .with {
            $0.zone = zone
            change(&$0)
        }
    }
}
