import Farm

/// Which addresses no machine can be reached at, whatever a file or a report says. Loopback and private
/// ones are fine: farms for trial live there.
extension IPAddress {
    /// Why no machine has this address; nil when one may. RFC 6890, RFC 4291 §2.
    var whyNoMachineHasIt: String? {
        switch self {
        case .v4(let value):
            switch value >> 24 {
            case 0: "unspecified"
            case 224...239: "a multicast group"
            case 240...255: value == .max ? "the broadcast address" : "reserved"
            default: nil
            }
        case .v6(let high, let low):
            if high == 0 && low == 0 {
                "unspecified"
            } else if high >> 56 == 0xFF {
                "a multicast group"
            } else if high == 0 && low >> 32 == 0xFFFF {
                "an IPv4 address in IPv6 form"
            } else {
                nil
            }
        }
    }
}
