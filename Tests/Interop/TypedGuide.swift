import Foundation
import TestSupport
import Testing

/// A guide of docs/guides whose commands are typed as they stand there: all of its `sh` blocks by one shell, in order, in a
/// directory of their own. Files that it shows are written, and whatever it started ends with it.
struct TypedGuide {
    let name: String
    /// In order.
    let blocks: [String]

    init(_ name: String) throws {
        self.name = name
        let text = try String(
            contentsOfFile: Product.root + "/docs/guides/" + name, encoding: .utf8)
        blocks = text.components(separatedBy: "```sh\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
    }

    /// Types it, beside links to what it may name (`Examples`, `Zones`, `.build`).
    /// - Parameters:
    ///   - seconds: after which it is given up.
    ///   - before: what is there already when the reader begins.
    ///   - others: what somebody else does after the block of that number, from 0.
    ///   - isAlone: in a network, `/etc`, `/var/lib` and `/run` of its own, which only root can make.
    func type(
        within seconds: Int, before: String = "", others: [Int: String] = [:],
        isAlone: Bool = false
    ) async throws -> Finished {
        let directory = try TemporaryDirectory()
        let typed = blocks.enumerated().map { $0.element + (others[$0.offset] ?? "") }
        let script = try directory.write(
            "typed.sh",
            """
            set -emo pipefail
            mkdir \(directory.file("room"))
            cd \(directory.file("room"))
            for name in Examples Zones Protos .build; do ln -s \(Product.root)/$name $name; done
            trap 'for job in $(jobs -p); do kill -KILL -- -$job 2>/dev/null || true; done' EXIT
            \(isAlone ? TypedGuide.ownRoom : "")
            \(before)

            """ + typed.joined())
        // Programs that a test starts inherit blocked signals, and a guide may send some.
        let unblocked =
            "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, []); "
            + "os.execvp(sys.argv[1], sys.argv[1:])"
        let room = isAlone ? ["unshare", "-nmpf", "--kill-child", "--mount-proc"] : []
        return try await run(
            ["python3", "-c", unblocked, "timeout", "\(seconds)"] + room + ["bash", script])
    }

    private static let ownRoom = """
        ip link set lo up
        cp -a /etc own-etc
        mount --bind own-etc /etc
        for name in /var/lib /run; do mount -t tmpfs none $name; done
        PATH=$PWD/.build/debug:/usr/sbin:$PATH
        """
}
