import TestSupport

/// A certificate that vouches for itself, as `openssl` makes it: for those who are told to trust just it.
enum SelfSigned {
    /// Writes `NAME.pem` and `NAME.key`, good for `subject` and 127.0.0.1.
    static func certificate(
        _ name: String, for subject: String, in directory: TemporaryDirectory
    ) async throws {
        let made = try await run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", directory.file(name + ".key"), "-out",
            directory.file(name + ".pem"), "-subj", "/CN=" + subject, "-days", "30", "-addext",
            "subjectAltName=DNS:\(subject),IP:127.0.0.1",
        ])
        guard made.status == 0 else { throw Failure(made.errors) }
    }
}
