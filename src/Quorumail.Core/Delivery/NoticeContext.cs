namespace Quorumail.Core.Delivery;

/// <summary>What a notice says about where and when it was made.</summary>
/// <param name="HostName">This server's name, as in its greeting.</param>
/// <param name="Now">Now, for Date and Last-Attempt-Date, in Unix milliseconds.</param>
/// <param name="ExpiresAt">When a delayed message will be given up, in Unix milliseconds.</param>
public readonly record struct NoticeContext(string HostName, long Now, long ExpiresAt);
