import ArgumentParser

/// A length of time on the command line: "500ms", "90s", "30m", "1h", "2d", up to a year; a number alone is no
/// length of time but 0 is.
struct HumanDuration: ExpressibleByArgument, Sendable {
    let seconds: Double

    private static let units: [(String, Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400),
    ]
    private static let longest = 366.0 * 86400

    init(seconds: Double) { self.seconds = seconds }

    init?(argument: String) {
        if argument == "0" {
            self.init(seconds: 0)
            return
        }
        guard let (unit, factor) = Self.units.first(where: { argument.hasSuffix($0.0) }),
            let first = argument.utf8.first, (0x30...0x39).contains(first),
            let number = Double(argument.dropLast(unit.count)),
            (0...Self.longest).contains(number * factor)
        else { return nil }
        self.init(seconds: number * factor)
    }

    var duration: Duration { .seconds(seconds) }

    var defaultValueDescription: String { spoken(seconds: seconds) }
}
