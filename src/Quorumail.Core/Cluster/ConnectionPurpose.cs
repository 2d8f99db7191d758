namespace Quorumail.Core.Cluster;

/// <summary>What a connection between two nodes is for.</summary>
public enum ConnectionPurpose : byte
{
    /// <summary>Everything but what is large.</summary>
    Frames = 0,

    /// <summary>What is large and may wait: snapshots, and what the program around sends.</summary>
    Bulk = 1,
}
