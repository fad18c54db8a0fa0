import ArgumentParser

/// `smurf example`: data to try the farm with.
struct ExampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example", abstract: "Prints data to try the farm with.",
        subcommands: [ExampleRecipients.self])
}

/// `smurf example recipients`: a table of people who do not exist, at domains that cannot.
struct ExampleRecipients: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recipients",
        abstract:
            "Prints a recipients table (CSV) of any length; the same seed gives the same table.",
        discussion: "  smurf example recipients --count 20000 --seed 1 > recipients.csv")

    @Option(help: "Rows.") var count = 50
    @Option(help: "Chooses the names and values.") var seed: UInt64 = 1

    /// Names of many scripts, and those that trip a careless CSV or header writer.
    private static let names = [
        "Anna Weber", "Zoë Lefèvre", "Łukasz Żak", "Seán O'Brien", "José \"Pepe\" Núñez",
        "Smith, John", "Þóra Jónsdóttir", "Анна Петрова", "Олексій Їжакевич", "Ελένη Παππά",
        "ليلى حداد", "נועה כהן", "प्रिया शर्मा", "王小明", "李娜", "김민준", "สมชาย ใจดี",
        "Nguyễn Thị Hương", "山田太郎", "Ana-María d'Ávila",
    ]
    private static let cities = [
        "Wien", "São Paulo", "Athina, Αθήνα", "Київ", "القاهرة", "חיפה", "मुंबई", "北京", "서울",
        "กรุงเทพฯ", "L'Aquila", "",
    ]
    private static let boats = [
        "", "Möwe", "Святая Нина", "Ingrid & Søn", "海鷗", "Bel-Ami \"II\"", "", "Fair Wind",
    ]
    private static let districts = [
        "Upper Town", "Lower Town", "Île aux Moines", "Старе Місто", "", "Harbour, East",
    ]

    func validate() throws {
        guard (0...10_000_000).contains(count) else {
            throw ValidationError("--count takes 0 to 10000000")
        }
    }

    func run() {
        var state = seed
        print(
            "address,name,city,member,since,renewal,boat,berth,points,district",
            terminator: "\r\n")
        for index in 1...max(count, 1) where index <= count {
            let domain = "mail\(ExampleRecipients.draw(&state, below: 40)).example"
            let digits = String(index)
            let padded = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
            let names = ExampleRecipients.names
            let cities = ExampleRecipients.cities
            let fields =
                [
                    "user\(padded)@\(domain)",
                    names[ExampleRecipients.draw(&state, below: names.count)],
                    cities[ExampleRecipients.draw(&state, below: cities.count)], "M-\(padded)",
                    String(1990 + ExampleRecipients.draw(&state, below: 36)),
                    ExampleRecipients.draw(&state, below: 4) == 0 ? "yes" : "",
                ] + ExampleRecipients.harbour(of: index, seed)
            print(fields.map(ExampleRecipients.quoted).joined(separator: ","), terminator: "\r\n")
        }
    }

    /// What Examples/newsletter.eml says to boat owners; drawn apart, so that the other columns of a seed stay
    /// what they are.
    private static func harbour(of index: Int, _ seed: UInt64) -> [String] {
        var state = (seed ^ 0x6861_7262) &+ UInt64(index) &* 0x2545_f491_4f6c_dd1d
        let boat = boats[draw(&state, below: boats.count)]
        let berth = "ABCD".dropFirst(draw(&state, below: 4)).prefix(1)
        let number = 1 + draw(&state, below: 60)
        let hasBerth = !boat.isEmpty && draw(&state, below: 3) > 0
        let points = draw(&state, below: 3) > 0 ? String(draw(&state, below: 900)) : ""
        return [
            boat, hasBerth ? "\(berth)\(number)" : "", points,
            districts[draw(&state, below: districts.count)],
        ]
    }

    /// RFC 4180 §2.
    private static func quoted(_ field: String) -> String {
        guard field.contains(where: { $0 == "," || $0 == "\"" }) else { return field }
        return
            "\"\(field.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }

    /// SplitMix64: the same on every machine.
    private static func draw(_ state: inout UInt64, below bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((word ^ (word >> 31)) % UInt64(max(bound, 1)))
    }
}
