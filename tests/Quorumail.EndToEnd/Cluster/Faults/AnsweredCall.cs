namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Something that a node vouched for.</summary>
/// <param name="Node">Index of the node.</param>
/// <param name="Called">When it was asked: a timestamp of this process.</param>
/// <param name="Returned">When it had answered.</param>
/// <param name="IsWrite">Whether it asked for a change.</param>
/// <param name="What">For people.</param>
internal readonly record struct AnsweredCall(int Node, long Called, long Returned, bool IsWrite, object What);
