import Foundation
import Testing

/// The product among programs of other people: farms that send and receive, and name servers beside others. One after
/// the other: each test starts a farm.
@Suite(.serialized) struct InteropTests {}

/// The same of control nodes, alone and in clusters, and of what they keep: one after the other too, beside the former, for
/// both kinds wait most of the time.
@Suite(.serialized) struct ControlInteropTests {}
