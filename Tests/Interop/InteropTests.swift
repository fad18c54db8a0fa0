import Foundation
import Testing

/// The product among programs of other people. One after the other: each test starts a farm.
@Suite(.serialized) struct InteropTests {}
