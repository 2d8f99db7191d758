namespace Quorumail.Core.Queue;

/// <summary>A disk that holds a body: a node, and which of its disks in time (incarnation).</summary>
public readonly record struct BodyHolder(string Node, long Incarnation);
