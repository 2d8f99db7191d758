using Quorumail.Core.Delivery;

namespace Quorumail.Simulation;

/// <summary>What a stored body stands for: a client's message, or a notice.</summary>
internal sealed record ModelBody(Submission? Submission, NoticePlan? Notice);
