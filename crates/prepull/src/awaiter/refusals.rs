//! What the cluster says when it refuses to create pods, and whether that can heal by itself.

/// Whether the cluster's refusal of a pod cannot heal by itself: what admission says of the pod or its namespace.
pub(super) fn is_final_refusal(message: &str) -> bool {
    let words = [
        "violates PodSecurity",
        "no PriorityClass with name",
        "is invalid:",
        "because it is being terminated",
    ];
    words.iter().any(|word| message.contains(word))
        || (message.contains("serviceaccount") && message.contains("not found"))
}
