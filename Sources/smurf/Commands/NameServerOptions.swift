import ArgumentParser
import AuthDNS

/// What `smurf serve` lets an operator say about the name server beside its addresses.
struct NameServerOptions: ParsableArguments {
    @Option(help: "What NSID and id.server say, such as this machine's name; hidden by default.")
    var nsid: String = ""
    @Option(help: "What version.bind says; hidden by default.") var versionBind: String = ""
    @Option(
        help: """
            File of DNS cookie secrets that the zone's servers share (32 hexadecimal digits a line, \
            the active one first, at most two); by default one is drawn at random. SIGHUP reads it \
            anew.
            """)
    var cookieSecrets: String?
    @Flag(help: "Make UDP clients that know cookies show one (BADCOOKIE).")
    var requireCookies = false

    var settings: ServerSettings {
        var settings = ServerSettings()
        settings.identity = nsid
        settings.version = versionBind
        settings.cookies.secretsFile = cookieSecrets
        settings.cookies.isRequired = requireCookies
        return settings
    }
}
