using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>What an attempt came to.</summary>
/// <param name="Results">One for each recipient of the job.</param>
/// <param name="Notices">To be composed and made durable before the attempt is recorded.</param>
public sealed record AttemptConclusion(IReadOnlyList<RecipientResult> Results, IReadOnlyList<NoticePlan> Notices)
{
    /// <summary>Notices that nobody would read: they are not sent.</summary>
    public IReadOnlyList<NoticePlan> Unaddressed { get; init; } = [];
}
