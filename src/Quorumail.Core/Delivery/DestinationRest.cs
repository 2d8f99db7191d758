namespace Quorumail.Core.Delivery;

/// <summary>Why nothing, or nothing more, is begun for a destination at present.</summary>
/// <param name="Until">When it is tried again, in milliseconds of cluster time.</param>
/// <param name="Failure">What came of the attempt to reach it; null: a limit holds it back.</param>
public sealed record DestinationRest(long Until, DeliveryReply? Failure);
