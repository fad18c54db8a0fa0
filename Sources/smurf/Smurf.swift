import ArgumentParser

/// The one executable: a control node (`serve`), a machine of the farm (`agent`), and the operator's
/// tools that ask a control node over its unix socket. It holds no logic of the three subsystems.
struct Smurf: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "smurf",
        abstract: "Gives mail machines their roles by DNS, and sends mailings through those names.",
        discussion: """
            A control node answers for a delegated sub-domain; the members of a role are the \
            addresses behind its name. Agents on the machines carry the roles out.

              smurf demo                                    all of it, on this machine
              smurf serve --policy farm.yml --zone z.zone   a control node
              smurf secondary --zone …                      one more name server of its zone
              smurf agent --id s01 --address 192.0.2.1 …    one machine of the farm
              smurf send letter.eml people.csv --name may   a mailing, followed to its end
              smurf roles --watch                           who does what, and why
              smurf explain web                             why a role or a machine is as it is

            Exit status: 0 done, 1 failed, 2 bad input (nothing was changed), 64 bad usage.
            """,
        version: "0.1.0",
        subcommands: [
            DemoCommand.self, ServeCommand.self, SecondaryCommand.self, AgentCommand.self,
            SendCommand.self,
            MailingCommand.self,
            RolesCommand.self, MoveCommand.self, HoldCommand.self, ReleaseCommand.self,
            PinCommand.self, CordonCommand.self, UncordonCommand.self,
            HistoryCommand.self, ExplainCommand.self, TraceCommand.self, PolicyCommand.self,
            ZoneCommand.self,
            DNSCommand.self,
            SinkCommand.self,
            ExampleCommand.self,
        ])
}
