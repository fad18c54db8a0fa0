import ArgumentParser
import Foundation

/// Where the program begins, on the main thread and before there is another one: what must happen there (giving up
/// root for a whole process) happens here, then the command runs.
@main
enum Launch {
    static func main() {
        do {
            let command = try Smurf.parseAsRoot()
            if let serve = command as? ServeCommand {
                let ground = try serve.prepare()
                run { try await serve.run(on: ground) }
            } else if let secondary = command as? SecondaryCommand {
                let ground = try secondary.prepare()
                run { try await secondary.run(on: ground) }
            } else if var command = command as? any AsyncParsableCommand {
                run { try await command.run() }
            } else {
                var command = command
                try command.run()
            }
        } catch {
            Smurf.exit(withError: error)
        }
    }

    private static func run(_ work: sending @escaping () async throws -> Void) -> Never {
        // The priority that an asynchronous `main` has: a task of the main thread would have a higher one.
        Task(priority: .medium) {
            do {
                try await work()
                exit(0)
            } catch {
                Smurf.exit(withError: error)
            }
        }
        dispatchMain()
    }
}
