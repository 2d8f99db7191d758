namespace Quorumail.Server.Torture.Report;

/// <summary>How the cluster went through a fault.</summary>
/// <param name="Name">What was done to whom.</param>
/// <param name="Kind">The same without names of nodes.</param>
/// <param name="IsStop">Whether nobody could answer 250 meanwhile.</param>
/// <param name="Gap">The longest time in which no node answered 250, until all did again.</param>
/// <param name="Recovery">From its mending until all nodes had taken mail again; null: they did not within the limit.</param>
internal sealed record FaultLine(string Name, string Kind, bool IsStop, TimeSpan Gap, TimeSpan? Recovery);
