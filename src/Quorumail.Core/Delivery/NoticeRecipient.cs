using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>One recipient in a notice.</summary>
/// <param name="Result">What became of it; names the recipient by its index.</param>
/// <param name="Action">RFC 3464 2.3.3: failed, delayed, delivered or relayed.</param>
public sealed record NoticeRecipient(RecipientResult Result, string Action);
