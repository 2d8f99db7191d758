namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>What a node holds for a key.</summary>
internal sealed record StoredValue(string Value, long Version);
