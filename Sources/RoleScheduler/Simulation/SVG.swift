/// A drawing in Scalable Vector Graphics (SVG 1.1): the few shapes that a chart needs, as text that grows.
/// Numbers are written with one digit after the point; text is escaped.
struct SVG {
    private var body = ""
    private let width: Double
    private let height: Double

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    /// How a text stands to its point.
    enum Anchor: String { case start, middle, end }

    mutating func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, fill: String,
        opacity: Double = 1
    ) {
        body += "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(max(width, 0)))\" "
        body +=
            "height=\"\(number(max(height, 0)))\" fill=\"\(fill)\" fill-opacity=\"\(opacity)\"/>\n"
    }

    mutating func line(
        _ from: (Double, Double), _ to: (Double, Double), _ color: String, width: Double = 1,
        dashes: String = ""
    ) {
        polyline([from, to], color, width: width, dashes: dashes)
    }

    mutating func polyline(
        _ points: [(Double, Double)], _ color: String, width: Double = 1, dashes: String = ""
    ) {
        let style = dashes.isEmpty ? "" : " stroke-dasharray=\"\(dashes)\""
        body += "<polyline points=\"\(list(points))\" fill=\"none\" stroke=\"\(color)\" "
        body += "stroke-width=\"\(width)\" stroke-linejoin=\"round\"\(style)/>\n"
    }

    mutating func polygon(_ points: [(Double, Double)], fill: String, opacity: Double = 1) {
        body +=
            "<polygon points=\"\(list(points))\" fill=\"\(fill)\" fill-opacity=\"\(opacity)\"/>\n"
    }

    mutating func text(
        _ x: Double, _ y: Double, _ text: String, size: Double = 13, color: String = "#334155",
        anchor: Anchor = .start, isBold: Bool = false
    ) {
        body +=
            "<text x=\"\(number(x))\" y=\"\(number(y))\" font-size=\"\(size)\" fill=\"\(color)\" "
        body += "text-anchor=\"\(anchor.rawValue)\"\(isBold ? " font-weight=\"bold\"" : "")>"
        body += "\(escaped(text))</text>\n"
    }

    /// The whole document.
    var document: String {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            + "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(number(width))\" "
            + "height=\"\(number(height))\" viewBox=\"0 0 \(number(width)) \(number(height))\" "
            + "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n"
            + "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" + body + "</svg>\n"
    }

    private func list(_ points: [(Double, Double)]) -> String {
        points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
    }

    private func number(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e9 else { return "0" }
        let tenths = Int((value * 10).rounded())
        let digits = abs(tenths)
        return "\(tenths < 0 ? "-" : "")\(digits / 10)"
            + (digits % 10 == 0 ? "" : ".\(digits % 10)")
    }

    private func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: if scalar.value >= 0x20 { result.unicodeScalars.append(scalar) }
            }
        }
        return result
    }
}
