namespace Quorumail.Cluster.Transport;

/// <summary>What came of dialling an address.</summary>
/// <param name="Address">As it was told.</param>
/// <param name="NodeId">Who answered there, this node itself included; null if nobody has yet.</param>
/// <param name="Problem">Why nobody has, for the operator; empty if somebody did.</param>
internal sealed record DialledAddress(string Address, string? NodeId, string Problem);
